-- Turn a circuit, unless somebody else has turned it since it was read.
-- KEYS  1 the circuit
-- ARGV  1 now · 2 operation id · 3 the version that was read, 0 for none · 4 its document
-- Gives {'ok', now, version}, or {'stale', now, version, document} as it stands.
-- Operation id: the last one is kept, so a repeat gives the same answer.
local met = redis.call('HMGET', KEYS[1], 'version', 'document', 'operation')
local now, version = clock(ARGV[1]), met[1] or '0'
if met[3] == ARGV[2] then return {'ok', now, tonumber(version)} end
if version ~= ARGV[3] then return {'stale', now, tonumber(version), met[2] or ''} end
local turned = tonumber(version) + 1
redis.call('HSET', KEYS[1], 'version', text(turned), 'document', ARGV[4], 'operation', ARGV[2])
return {'ok', now, turned}
