// undrop's hook: written by `undrop init`, taken out by `undrop init --remove`.
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const PROJECTS = [""]
const TOP = fileURLToPath(new URL("../..", import.meta.url))
const MISSING = { tell: "undrop does not guard the database: it is not installed" }

function ask(folder: string, call: object): Promise<any> {
  const project = join(TOP, folder)
  const programs = [project, TOP].flatMap((at) => [join(at, ".venv/bin"), join(at, "venv/bin")])
  const env = {
    ...process.env,
    UNDROP_USER_PATH: process.env.PATH,
    PATH: [...programs, process.env.PATH].join(":"),
    CLAUDE_PROJECT_DIR: project,
  }
  return new Promise((resolve) => {
    const child = spawn("undrop", ["agent-hook", "--for", "opencode"], { env, cwd: project })
    let said = ""
    child.on("error", () => resolve(MISSING))
    child.stdin.on("error", () => {})
    child.stdout.on("data", (data) => (said += data))
    child.on("close", () => {
      try {
        resolve(JSON.parse(said))
      } catch {
        resolve(MISSING)
      }
    })
    child.stdin.end(JSON.stringify(call))
  })
}

// Throws where the call is denied; what there is to tell is what it answers.
async function hook(event: string, cwd: string, tool: string, args: any, sessionID: string, callID: string) {
  const told: string[] = []
  for (const folder of PROJECTS) {
    const said = await ask(folder, { event, cwd, tool, args, sessionID, callID })
    if (event === "before" && said.deny) throw new Error(said.deny)
    if (said.tell) told.push(said.tell)
  }
  return told.length ? "\n" + told.join("\n") : ""
}

export default {
  id: "undrop",
  // OpenCode 1
  server: async ({ directory }: any) => ({
    "tool.execute.before": async (call: any, output: any) => {
      await hook("before", directory, call.tool, output.args, call.sessionID, call.callID)
    },
    "tool.execute.after": async (call: any, output: any) => {
      output.output += await hook("after", directory, call.tool, call.args ?? {}, call.sessionID, call.callID)
    },
  }),
  // OpenCode 2
  setup: async (ctx: any) => {
    const at = ctx.location.directory
    await ctx.tool.hook("execute.before", async (call: any) => {
      await hook("before", at, call.tool, call.input, String(call.sessionID), String(call.id))
    })
    await ctx.tool.hook("execute.after", async (call: any) => {
      const told = await hook("after", at, call.tool, call.input, String(call.sessionID), String(call.id))
      if (!told) return
      const result = call.result
      if (typeof result?.content === "string") result.content += told
      else if (Array.isArray(result?.content)) result.content.push({ type: "text", text: told })
      else if (typeof call.error?.message === "string") call.error.message += told
    })
  },
}
