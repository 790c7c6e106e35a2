-- Keep an upload of a team's, or use one that is kept: what it is is written once, and its end only moves away.
-- KEYS  1 the upload
-- ARGV  1 now · 2 its document ('': only one that is kept already) · 3 ms that it lives from now on (0: only look)
-- Gives {'ok', now, document, created, ends} or {'gone', now}.
-- Operation id: the upload's own, made from its content. A repeat keeps the later of two ends.
local upload, life, now = KEYS[1], tonumber(ARGV[3]), clock(ARGV[1])

local met = redis.call('HMGET', upload, 'document', 'created', 'ends')
local lives = met[1] and tonumber(met[3]) > now
if not lives and ARGV[2] == '' then return {'gone', now} end

local document, created, ends = met[1], tonumber(met[2]), tonumber(met[3])
if not lives then document, created, ends = ARGV[2], now, now + life end
ends = math.max(ends, now + life)
if not lives or life > 0 then
  redis.call('HSET', upload, 'document', document, 'created', text(created), 'ends', text(ends))
  redis.call('PEXPIRE', upload, ends - now + LATER)
end
return {'ok', now, document, created, ends}
