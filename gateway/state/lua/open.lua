-- Open an edit's next attempt: its money, its permit, and its intent with the exact call, before anything is sent.
-- KEYS  1 the edit · 2 the permits of the attempt's account · 3 ledger
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 attempt number · 6 attempt document · 7 '1': it posts
--       · 8 most permits ('': no limit) · 9 price · 10 most the edit may cost ('': any) · 11 nine caps · 12 row
--       · 13 '1': beside the attempt that is open, whose work its provider has accepted · 14 events
-- Gives {'ok', now}, {'cancelled', now}, {'no_permit', now},
--       {'over_budget', now, account ('': the edit itself), cap, left},
--       {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the attempt's number with its document. A repeat gives the first answer.
local edit, id, number, document, price = KEYS[1], ARGV[2], ARGV[5], ARGV[6], tonumber(ARGV[9])

local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
local met = redis.call('HMGET', edit, 'status', 'attempts', 'attempt:' .. number, 'state:' .. number, 'opened:' .. number,
  'cancel')
if met[3] == document and met[4] == 'intent' then return {'ok', tonumber(met[5])} end
if met[1] ~= 'queued' and met[1] ~= 'running' then
  return illegal('the edit is ' .. met[1] .. ': no attempt can be opened')
end
if met[6] then return {'cancelled', clock(ARGV[1])} end
-- No second purchase while an older one may still happen, but beside one whose provider works on it: that was bought.
local other, state = open_attempt(edit)
local beside, theirs = others(edit, number)
if ARGV[13] == '1' and (beside ~= 1 or state ~= 'accepted') then
  return illegal('attempt ' .. number .. ' can be opened beside one that is accepted; here ' .. beside .. ' are open'
    .. (state and ', the first of them ' .. state or ''))
end
if other and ARGV[13] == '' then return illegal('attempt ' .. number .. ' cannot be opened while attempt ' .. other .. ' is ' .. state) end
if tonumber(number) ~= tonumber(met[2]) + 1 then
  return illegal('the next attempt is number ' .. (met[2] + 1) .. ', not ' .. number)
end

-- What is left of the hold pays first. Where an earlier attempt was charged or is unresolved, the hold is topped up.
local now, purse = clock(ARGV[1]), read_purse(edit)
local more = math.max(0, price + theirs - (purse.held - purse.kept))
local over = over_its_cost(purse, ARGV[10], price + theirs, now)
  or more > 0 and over_budget(purse.accounts, ARGV[11], more, now)
if over then return over end
if not has_permit(KEYS[2], ARGV[8], member(id, number)) then return {'no_permit', now} end

write_open(edit, KEYS[2], ARGV[8], id, number, document, ARGV[9], ARGV[7], now)
purse.held = purse.held + more
if more > 0 then write_purse(purse) end
book(KEYS[3], ARGV[12], now, purse)
tell(edit, ARGV[14])
return {'ok', now}
