-- Claim open edits of replicas that are dead, oldest first; each claim raises the edit's epoch.
-- KEYS  1 replicas · 2 the claimer's open edits · 3 the claimer's last claim
-- ARGV  1 now · 2 claimer · 3 most edits · 4 ms of silence after which a replica is dead · 5 operation id
--       · 6 prefix of an edit's key · 7 prefix of an owner's key (both carry the hash tag: same slot)
-- Gives {'ok', now, {id, {field, value, …}, …}}.
-- Operation id: given by the caller. A repeat gives the same edits, else a lost reply would leave them with nobody.
local replicas, mine, last = KEYS[1], KEYS[2], KEYS[3]
local now, claimer, most, dead = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function take(owner, id, created)
  local edit = ARGV[6] .. id
  redis.call('ZREM', ARGV[7] .. owner, id)
  if redis.call('EXISTS', edit) == 0 then return false end
  redis.call('HSET', edit, 'owner', claimer)
  redis.call('HINCRBY', edit, 'epoch', 1)
  redis.call('ZADD', mine, created, id)
  return true
end

local function take_from(owner, ids)
  local theirs = redis.call('ZRANGE', ARGV[7] .. owner, 0, most - #ids - 1, 'WITHSCORES')
  for i = 1, #theirs, 2 do
    if take(owner, theirs[i], theirs[i + 1]) then ids[#ids + 1] = theirs[i] end
  end
  if redis.call('ZCARD', ARGV[7] .. owner) == 0 then redis.call('ZREM', replicas, owner) end
end

-- A beat from the future is from before the server's clock was set back: as dead as one from long ago.
local function dead_replicas()
  local silent = redis.call('ZRANGEBYSCORE', replicas, '-inf', '(' .. text(now - dead))
  for _, owner in ipairs(redis.call('ZRANGEBYSCORE', replicas, '(' .. text(now + dead), '+inf')) do
    silent[#silent + 1] = owner
  end
  return silent
end

local ids = {}
if redis.call('HGET', last, 'operation') == ARGV[5] then
  for id in string.gmatch(redis.call('HGET', last, 'ids'), '%S+') do ids[#ids + 1] = id end
else
  redis.call('ZADD', replicas, text(now), claimer) -- who claims is alive, and must not lose the edits to the next claim
  for _, owner in ipairs(dead_replicas()) do
    if owner ~= claimer and #ids < most then take_from(owner, ids) end
  end
  if #ids > 0 then
    redis.call('HSET', last, 'operation', ARGV[5], 'ids', table.concat(ids, ' '))
    redis.call('PEXPIRE', last, 3600000)
  end
end

local found = {}
for _, id in ipairs(ids) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGETALL', ARGV[6] .. id)
end
return {'ok', now, found}
