-- A replica leaves: what it still owns can be claimed at once, without waiting for its silence.
-- KEYS  1 replicas · 2 its open edits
-- ARGV  1 now · 2 replica
-- Gives {'ok', now}. Operation id: none is needed, leaving twice is leaving.
if redis.call('ZCARD', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[2])
else
  redis.call('ZADD', KEYS[1], 0, ARGV[2])
end
return {'ok', clock(ARGV[1])}
