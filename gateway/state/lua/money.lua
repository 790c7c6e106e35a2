-- Put after prelude.lua before every step: what an edit holds, and the nine accounts that it is booked in.
-- Amounts are integers of micro-dollars. Lua counts in doubles, exact up to 2^53 (nine billion dollars): that is the
-- cap of an account that has none. Accounts are kept for every scope and window, so a cap that comes later is right.
local MOST = 9007199254740991

-- The UTC day of an epoch time, as 2027-01-31: days to a civil date, counted in eras of 400 years from 1 March.
local function day_of(now)
  local days = math.floor(now / 86400000) + 719468
  local era = math.floor(days / 146097)
  local day_of_era = days - era * 146097
  local year = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local march = math.floor((5 * day_of_year + 2) / 153)
  local month = march < 10 and march + 3 or march - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day_of_year - math.floor((153 * march + 2) / 5) + 1)
end

local function words(list, pattern)
  local found = {}
  for word in string.gmatch(list, pattern or '%S+') do found[#found + 1] = word end
  return found
end

-- The accounts of an edit that is accepted now, in the order in which caps are given and the refusing one is told:
-- the window that turns last first, and in it the narrowest scope first.
local function accounts_at(scopes, now)
  local day, accounts = day_of(now), {}
  for _, window in ipairs({'total', 'month:' .. string.sub(day, 1, 7), 'day:' .. day}) do
    for _, scope in ipairs(scopes) do accounts[#accounts + 1] = scope .. ':' .. window end
  end
  return accounts
end

-- What an edit holds (`kept` of it for attempts that are unresolved) and has spent. Steps change the purse, and write
-- it once, so that its accounts move by the same sums as the edit. `accounts` were fixed when it was accepted.
local function read_purse(edit)
  local found = redis.call('HMGET', edit, 'accounts', 'held', 'kept', 'spent')
  local held, spent = tonumber(found[2] or 0), tonumber(found[4] or 0)
  return {edit = edit, accounts = words(found[1] or '', '[^\n]+'), held = held, kept = tonumber(found[3] or 0),
    spent = spent, held_before = held, spent_before = spent}
end

local function write_purse(purse)
  redis.call('HSET', purse.edit, 'held', text(purse.held), 'kept', text(purse.kept), 'spent', text(purse.spent))
  for _, account in ipairs(purse.accounts) do
    redis.call('HINCRBY', account, 'held', text(purse.held - purse.held_before))
    redis.call('HINCRBY', account, 'spent', text(purse.spent - purse.spent_before))
  end
end

-- The refusal, where holding `more` would pass a cap; nil where it fits. A cap of '-' is none.
local function over_budget(accounts, caps, more, now)
  local given = words(caps)
  for i, account in ipairs(accounts) do
    local cap = tonumber(given[i]) or MOST
    local booked = redis.call('HMGET', account, 'spent', 'held')
    local left = cap - tonumber(booked[1] or 0) - tonumber(booked[2] or 0)
    if more > left then return {'over_budget', now, account, cap, math.max(0, left)} end
  end
  return nil
end

-- The same for what one edit may cost in all; '' is any sum.
local function over_its_cost(purse, most, price, now)
  local left = most == '' and MOST or tonumber(most) - purse.spent - purse.kept
  if price <= left then return nil end
  return {'over_budget', now, '', tonumber(most), math.max(0, left)}
end

-- An attempt ends as `state`, at `cost` where it is settled. The part of one that is unresolved is kept; what was
-- charged leaves the hold as far as the hold reaches, so that an overrun eats first what the edit had left. The part of
-- an attempt that runs beside it is not touched.
local function settle(purse, number, state, cost)
  local found = redis.call('HMGET', purse.edit, 'state:' .. number, 'price:' .. number)
  local price = tonumber(found[2] or 0)
  if found[1] == 'unresolved' then purse.kept = purse.kept - price end
  if state == 'unresolved' then purse.kept = purse.kept + price end
  if state ~= 'settled' then return end
  redis.call('HSET', purse.edit, 'cost:' .. number, cost)
  local _, theirs = others(purse.edit, number)
  local free = math.max(0, purse.held - purse.kept - theirs)
  purse.held = purse.held - math.min(tonumber(cost), free)
  purse.spent = purse.spent + tonumber(cost)
end

-- The edit ended: what is not kept for an unresolved attempt returns.
local function give_back(purse) purse.held = purse.kept end

-- One line for the books, in the same step as what it tells of. `row` is its JSON, which the caller wrote; only the
-- step knows the sums after it, so it adds them at the end, and the time beside it.
local function book(ledger, row, now, purse, with_spent)
  local sums = ',"held_micro":' .. text(purse.held)
  if with_spent then sums = sums .. ',"settled_micro":' .. text(purse.spent) end
  redis.call('XADD', ledger, '*', 'row', string.sub(row, 1, -2) .. sums .. '}', 'at', text(now))
end
