-- Enable an endpoint that was disabled. What waited for it and is not a week old is tried again.
-- KEYS  1 the team's endpoints · 2 the endpoint
-- ARGV  1 now · 2 its id · 3 prefix of webhooks' names (it carries the hash tag: same slot)
-- Gives {'ok', now} or {'gone', now}.
-- Operation id: none is needed, enabling twice is enabling.
local room, now = rooms(ARGV[3], ARGV[2]), clock(ARGV[1])
local mode = redis.call('HGET', KEYS[2], 'mode')
if not mode then return {'gone', now} end
redis.call('HDEL', KEYS[2], 'disabled', 'reason')
redis.call('HSET', KEYS[1], room.id, mode)
redis.call('SREM', room.disabled, room.id)
redis.call('PERSIST', room.queue)
wake(room, now)
return {'ok', now}
