-- Refer to a picture: before it is put, so that no sweep takes it, or to one that is kept already.
-- KEYS  1 when pictures are looked at · 2 the picture
-- ARGV  1 now · 2 its name · 3 who · 4 for how many ms · 5 of an edit: for how many ms after its end ('': no edit)
--       · 6 its bytes ('': not known) · 7 '1': only where it is kept · 8 ms that a sweep's mark holds
--       · 9 prefix of an edit's key (it carries the hash tag: same slot)
-- Gives {'ok', now}, {'going', now} (it is being deleted: ask again) or {'gone', now} (it is not
--       kept, or may not be: its edit's content was erased).
-- Operation id: the picture with who refers to it. A repeat says the same; the later of two times holds.
local index, picture, name, who = KEYS[1], KEYS[2], ARGV[2], 'from:' .. ARGV[3]

local now = clock(ARGV[1])
if ARGV[5] ~= '' and redis.call('HEXISTS', ARGV[9] .. ARGV[3], 'erase') == 1 then return {'gone', now} end
if is_going(picture, tonumber(ARGV[8]), now) then return {'going', now} end
local swept = redis.call('HEXISTS', picture, 'going') == 1
if ARGV[7] == '1' and (swept or redis.call('EXISTS', picture) == 0) then return {'gone', now} end

local ends = now + tonumber(ARGV[4])
local met = string.match(redis.call('HGET', picture, who) or '', '^%d+')
if met and tonumber(met) > ends then ends = tonumber(met) end
redis.call('HDEL', picture, 'going')
redis.call('HSET', picture, who, ARGV[5] == '' and text(ends) or text(ends) .. ' ' .. ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', picture, 'bytes', ARGV[6]) end
if swept or not redis.call('ZSCORE', index, name) then redis.call('ZADD', index, text(ends), name) end
return {'ok', now}
