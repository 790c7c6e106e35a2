-- Correct what a closed attempt cost, by a difference: its state stays as it is, and nothing is ever unsettled.
-- KEYS  1 the edit · 2 ledger
-- ARGV  1 now · 2 operation id · 3 attempt number · 4 difference · 5 row
-- Gives {'ok', now} or {'illegal', words}. No owner nor epoch: late truth is nobody's work in progress.
-- Operation id: given by the caller. A repeat gives the first answer.
local edit, operation, number, difference = KEYS[1], 'did:' .. ARGV[2], ARGV[3], tonumber(ARGV[4])

local met = redis.call('HMGET', edit, 'status', 'state:' .. number, operation, 'cost:' .. number)
if not met[1] then return illegal('the store does not hold this edit') end
if met[3] then return {'ok', tonumber(met[3])} end
if met[2] ~= 'settled' and met[2] ~= 'released' then
  return illegal('attempt ' .. number .. ' is ' .. (met[2] or 'unknown here') .. ': only what is closed is corrected')
end
local cost = tonumber(met[4] or 0) + difference
if cost < 0 then return illegal('attempt ' .. number .. ' would have cost less than nothing') end

local now, purse = clock(ARGV[1]), read_purse(edit)
purse.spent = purse.spent + difference
write_purse(purse)
redis.call('HSET', edit, 'cost:' .. number, text(cost), operation, text(now))
book(KEYS[2], ARGV[5], now, purse)
return {'ok', now}
