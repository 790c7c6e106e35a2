-- Amend an endpoint's document, unless somebody else has amended it since it was read.
-- KEYS  1 the endpoint
-- ARGV  1 now · 2 the document that was read · 3 what it becomes
-- Gives {'ok', now}, {'stale', now} or {'gone', now}.
-- Operation id: the document that it becomes. A repeat finds it there.
local now, met = clock(ARGV[1]), redis.call('HGET', KEYS[1], 'document')
if not met then return {'gone', now} end
if met == ARGV[3] then return {'ok', now} end
if met ~= ARGV[2] then return {'stale', now} end
redis.call('HSET', KEYS[1], 'document', ARGV[3])
return {'ok', now}
