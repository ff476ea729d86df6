import { defineConfig } from "drizzle-kit";

export default defineConfig({
  out: "./drizzle",
  schema: "./schema.ts",
  dialect: "turso",
  dbCredentials: { url: process.env.DB_FILE_NAME! },
});
