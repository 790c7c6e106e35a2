-- Drop a claim whose request ended before it became an edit, so that the next one need not wait.
-- KEYS  1 the key
-- ARGV  1 now · 2 token
-- Gives {'ok', now}.
-- Operation id: the token. Dropping twice is dropping; what is another's, or an edit's, stays.
local met = redis.call('HMGET', KEYS[1], 'token', 'edit')
if met[1] == ARGV[2] and not met[2] then redis.call('DEL', KEYS[1]) end
return {'ok', clock(ARGV[1])}
