-- Answers are kept for some time by their address.  Each request has another one, so that each page is made anew: pages
-- are asked for with a field that they do not know; the API refuses such, so letters of its path are written as %XX.
local count = 0
local head, query = wrk.path:match("^([^?]*)(.*)$")

local function spelled(number)
  return (head:gsub("%%?%w", function(each)
    if #each > 1 or not each:match("%a") or number == 0 then return nil end
    local bit = number % 2
    number = (number - bit) / 2
    return bit == 1 and string.format("%%%02X", each:byte()) or nil
  end))
end

request = function()
  count = count + 1
  if head:match("^/api/") then return wrk.format(nil, spelled(count) .. query) end
  return wrk.format(nil, wrk.path .. (query == "" and "?" or "&") .. "anew=" .. count)
end

-- The figures of a run as one line of JSON.
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'FIGURES {"requests": %d, "per_s": %.1f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
