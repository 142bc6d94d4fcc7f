-- What wrk sends, and what came of it as one line of JSON. Arguments, after `--`:
--   tokens=FILE   one bearer token a line: one is sent with every request, several in turn
--   stream=FILE   the same for more tokens than fit into memory here: read as they are sent
--   paths=FILE    one path a line, in turn
--   from=PART     where in the stream to begin: 0 is its begin, 1 its end
--   body=N        POST so many bytes
--   close=yes     a connection for each request
--   stop=N        end after so many answers
-- Tokens come from files because argument lists are for everybody to read.

local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int pid, int signal);")
local SIGINT = 2

local function lines_of(file)
  local lines = {}
  for line in io.lines(file) do
    if #line > 0 then lines[#lines + 1] = line end
  end
  return lines
end

local function in_turn(values, make)
  local made, turn = {}, 0
  for at, value in ipairs(values) do made[at] = make(value) end
  request = function()
    turn = turn % #made + 1
    return made[turn]
  end
end

local function streamed(file, from)
  wrk.headers["Authorization"] = "\0"
  local before, after = wrk.format():match("^(.-)%z(.*)$")
  local tokens = assert(io.open(file))
  if from > 0 then
    tokens:seek("set", math.floor(tokens:seek("end") * from))
    tokens:read("*l") -- the rest of a line
  end
  request = function()
    local token = tokens:read("*l")
    if not token then
      tokens:seek("set")
      token = tokens:read("*l")
    end
    return before .. "Bearer " .. token .. after
  end
end

function init(arguments)
  local given = {}
  for _, argument in ipairs(arguments) do
    local name, value = argument:match("^(%w+)=(.*)$")
    given[name] = value
  end
  if given.body then
    wrk.method, wrk.body = "POST", string.rep("x", tonumber(given.body))
    wrk.headers["Content-Type"] = "application/octet-stream"
  end
  if given.close then wrk.headers["Connection"] = "close" end
  if given.tokens then
    local tokens = lines_of(given.tokens)
    wrk.headers["Authorization"] = "Bearer " .. tokens[1]
    if #tokens > 1 then
      in_turn(tokens, function(token) return wrk.format(nil, nil, { Host = wrk.headers["Host"], Authorization = "Bearer " .. token }) end)
    end
  end
  if given.stream then streamed(given.stream, tonumber(given.from or 0)) end
  if given.paths then in_turn(lines_of(given.paths), function(path) return wrk.format(nil, path) end) end
  if given.stop then
    local left = tonumber(given.stop)
    response = function()
      left = left - 1
      -- Stopping the thread alone would leave wrk asleep until its time is up.
      if left == 0 then
        wrk.thread:stop()
        ffi.C.kill(ffi.C.getpid(), SIGINT)
      end
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bytes":%d,"p50_us":%.1f,"p99_us":%.1f,"not_2xx":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
