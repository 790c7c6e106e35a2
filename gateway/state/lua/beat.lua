-- A replica is alive.
-- KEYS  1 replicas
-- ARGV  1 now · 2 replica
-- Gives {'ok', now}. Operation id: none is needed, a later beat is as true as an earlier one.
local now = clock(ARGV[1])
redis.call('ZADD', KEYS[1], text(now), ARGV[2])
return {'ok', now}
