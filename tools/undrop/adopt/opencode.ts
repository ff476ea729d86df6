// undrop's hook: written by `undrop init`, taken out by `undrop init --remove`.
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const PROJECTS = [""]
const TOP = fileURLToPath(new URL("../..", import.meta.url))
const MISSING = { tell: "undrop does not guard the database: it is not installed" }

function ask(project, call) {
  const places = [project, TOP].flatMap((at) => [join(at, ".venv/bin"), join(at, "venv/bin")])
  const env = {
    ...process.env,
    UNDROP_USER_PATH: process.env.PATH,
    PATH: [...places, process.env.PATH].join(":"),
    CLAUDE_PROJECT_DIR: project,
  }
  return new Promise((resolve) => {
    const undrop = spawn("undrop", ["agent-hook", "--for", "opencode"], { cwd: project, env })
    let said = ""
    undrop.on("error", () => resolve(MISSING))
    undrop.stdin.on("error", () => {})
    undrop.stdout.setEncoding("utf8").on("data", (text) => (said += text))
    undrop.on("close", () => {
      try {
        resolve(JSON.parse(said))
      } catch {
        resolve(MISSING)
      }
    })
    undrop.stdin.end(JSON.stringify(call))
  })
}

// Throws where the call is denied; answers what there is to tell.
async function hook(event, cwd, tool, args, sessionID, callID) {
  let told = ""
  for (const folder of PROJECTS) {
    const said = await ask(join(TOP, folder), { event, cwd, tool, args, sessionID, callID })
    if (event === "before" && said.deny) throw new Error(said.deny)
    if (said.tell) told += "\n" + said.tell
  }
  return told
}

export default {
  id: "undrop",
  // OpenCode 1
  server: async ({ directory }) => ({
    "tool.execute.before": async (call, output) => {
      await hook("before", directory, call.tool, output.args, call.sessionID, call.callID)
    },
    "tool.execute.after": async (call, output) => {
      const { tool, args, sessionID, callID } = call
      output.output += await hook("after", directory, tool, args ?? {}, sessionID, callID)
    },
  }),
  // OpenCode 2
  setup: async (context) => {
    const call = (event, { tool, input, sessionID, id }) =>
      hook(event, context.location.directory, tool, input, `${sessionID}`, `${id}`)
    await context.tool.hook("execute.before", async (event) => {
      await call("before", event)
    })
    await context.tool.hook("execute.after", async (event) => {
      const told = await call("after", event)
      const { result, error } = event
      if (typeof result?.content === "string") result.content += told
      else if (told && Array.isArray(result?.content)) result.content.push({ type: "text", text: told })
      else if (typeof error?.message === "string") error.message += told
    })
  },
}
