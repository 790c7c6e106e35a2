-- Admit a request under an API key's rate: at most `limit` in any stretch of `window`.
-- KEYS  1 the requests of the key that were admitted, by time
-- ARGV  1 now · 2 operation id · 3 limit · 4 window in ms
-- Gives {'ok' or 'wait', now, remaining, ms until one more is admitted}.
-- Operation id: given by the caller, and the member itself, so a repeat is counted once.
local key, limit, window = KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = clock(ARGV[1])

-- What is older than the window is over; what lies ahead is from before the clock was set back.
redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - window))
redis.call('ZREMRANGEBYSCORE', key, '(' .. text(now), '+inf')
local met = redis.call('ZSCORE', key, ARGV[2])
local count = redis.call('ZCARD', key)
local admitted = met or count < limit
if admitted and not met then
  redis.call('ZADD', key, text(now), ARGV[2])
  redis.call('PEXPIRE', key, window + LATER)
  count = count + 1
end
local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
return {admitted and 'ok' or 'wait', now, math.max(0, limit - count), oldest and tonumber(oldest) + window - now or window}
