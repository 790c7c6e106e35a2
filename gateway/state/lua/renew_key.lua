-- Renew a claim whose request still lives.
-- KEYS  1 the key
-- ARGV  1 now · 2 token · 3 ms that the claim lives from now
-- Gives {'ok', now} or {'lost', now}.
-- Operation id: none is needed, a later renewal is as true as an earlier one.
local key, now = KEYS[1], clock(ARGV[1])
local met = redis.call('HMGET', key, 'token', 'edit')
if met[1] ~= ARGV[2] or met[2] then return {'lost', now} end
redis.call('HSET', key, 'ends', text(now + ARGV[3]))
redis.call('PEXPIRE', key, ARGV[3] + LATER)
return {'ok', now}
