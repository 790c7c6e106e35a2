-- Deliver again, now: the same message under the same id, with all its tries before it.
-- KEYS  1 the delivery · 2 the endpoint
-- ARGV  1 now · 2 prefix of webhooks' names (it carries the hash tag: same slot) · 3 endpoint · 4 message
-- Gives {'ok', now}, {'gone', now} or {'disabled', now}.
-- Operation id: none is needed, it is due once, however often it is asked for.
local room, now = rooms(ARGV[2], ARGV[3]), clock(ARGV[1])
local tries = redis.call('HGET', KEYS[1], 'tries')
if not tries or redis.call('EXISTS', KEYS[2]) == 0 then return {'gone', now} end
if redis.call('HEXISTS', KEYS[2], 'disabled') == 1 then return {'disabled', now} end
local lent = redis.call('ZSCORE', room.lent, ARGV[4])
if lent and tonumber(lent) > now then return {'ok', now} end
redis.call('HSET', KEYS[1], 'state', 'pending', 'tries_before', tries)
redis.call('PEXPIRE', KEYS[1], KEPT)
enqueue(room, ARGV[4], now, now)
return {'ok', now}
