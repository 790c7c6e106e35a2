-- Delist an endpoint, with all that waits for it. Its deliveries' records go when their time is over.
-- KEYS  1 the team's endpoints · 2 the endpoint
-- ARGV  1 now · 2 its id · 3 prefix of webhooks' names (it carries the hash tag: same slot)
-- Gives {'ok', now}.
-- Operation id: none is needed, removing twice is removing.
local room = rooms(ARGV[3], ARGV[2])
redis.call('HDEL', KEYS[1], room.id)
redis.call('DEL', KEYS[2], room.queue, room.lent, room.log)
redis.call('ZREM', room.due, room.id)
redis.call('SREM', room.disabled, room.id)
return {'ok', clock(ARGV[1])}
