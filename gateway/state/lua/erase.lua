-- Ask for the content of an ended edit to be erased: from here on no picture is kept for it, and none is shown.
-- KEYS  1 the edit · 2 when edits' contents are looked at
-- ARGV  1 now · 2 edit id
-- Gives {'ok', now}, {'goes_on', now, status} or {'gone', now}. No owner nor epoch: an edit that has ended is nobody's.
-- Operation id: the edit's id. Asking twice is asking.
local edit = KEYS[1]

local now, met = clock(ARGV[1]), redis.call('HMGET', edit, 'status', 'emptied')
if not met[1] then return {'gone', now} end
if not CONCLUDED[met[1]] then return {'goes_on', now, met[1]} end
redis.call('HSETNX', edit, 'erase', text(now))
if not met[2] then redis.call('ZADD', KEYS[2], text(now), ARGV[2]) end
return {'ok', now}
