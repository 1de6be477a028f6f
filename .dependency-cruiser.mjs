// The directions of imports: main → service → server → rpc and features → db, backends, client, contract.
// `npm run check` runs it. Types count too: a type that points the wrong way is still a dependency.

/** A feature is any folder of src that is none of these. */
const feature = "^src/(?!rpc/|db/|backends/|server/)([^/]+)/";
const pure = "^src/([^/]+)/(rules|plan)[.]ts$";
const infrastructure = ["pg", "drizzle-orm", "@electric-sql/pglite", "fastify", "pino", "prom-client"];

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-dead-files",
      comment: "Everything in src is reached from main.ts.",
      severity: "error",
      from: { path: "^src/main[.]ts$" },
      to: { path: "^src/", reachable: false },
    },
    {
      name: "nothing-imports-main",
      severity: "error",
      from: {},
      to: { path: "^src/main[.]ts$" },
    },
    {
      name: "only-main-imports-service",
      severity: "error",
      from: { path: "^(src|client|examples)/", pathNot: "^src/main[.]ts$" },
      to: { path: "^src/service([.]ts$|/)" },
    },
    {
      name: "only-service-imports-server",
      severity: "error",
      from: { path: "^(src|client|examples)/", pathNot: "^src/((main|service)[.]ts$|server([.]ts$|/))" },
      to: { path: "^src/server([.]ts$|/)" },
    },
    {
      name: "rpc-knows-no-feature",
      severity: "error",
      from: { path: "^src/rpc/" },
      to: { path: feature },
    },
    {
      name: "db-and-backends-are-the-bottom",
      severity: "error",
      from: { path: "^src/(db|backends)/" },
      to: { path: [feature, "^src/rpc/"] },
    },
    {
      name: "features-share-functions-only",
      comment: "A feature uses another through a function made for it, not through its handlers, queries or messages.",
      severity: "error",
      from: { path: feature },
      to: { path: "^src/[^/]+/(handlers|queries|messages)[.]ts$", pathNot: "^src/$1/" },
    },
    {
      name: "rules-and-plan-import-little",
      comment:
        "Pure decisions: the contract, the client's shared code, the typed errors, and files of their own folder.",
      severity: "error",
      from: { path: pure },
      to: {
        pathNot: [
          "^gen/",
          "^client/",
          "^src/$1/(?!(handlers|queries|messages)[.]ts$)",
          "^src/rpc/errors[.]ts$",
          "^crypto$",
          "^node_modules/@bufbuild/(protobuf|protovalidate)/",
        ],
      },
    },
    {
      name: "rules-and-plan-reach-no-infrastructure",
      severity: "error",
      from: { path: pure },
      to: { path: ["^src/(db|backends)/", `^node_modules/(${infrastructure.join("|")})/`], reachable: true },
    },
    {
      name: "client-knows-no-server",
      severity: "error",
      from: { path: "^client/" },
      to: { path: "^(src|examples|test)/" },
    },
    {
      name: "client-runs-anywhere",
      comment: "Only the ./node entry, in files whose names start with node, may need Node.",
      severity: "error",
      from: { path: "^client/src/", pathNot: "^client/src/node" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "client-index-leaves-node-alone",
      severity: "error",
      from: { path: "^client/src/index[.]ts$" },
      to: { path: ["^client/src/node", "^node_modules/@connectrpc/connect-node/"], reachable: true },
    },
    {
      name: "examples-use-public-entries",
      severity: "error",
      from: { path: "^examples/" },
      to: { path: "^(src|client|gen|test|bench)/", dependencyTypesNot: ["aliased-workspace"] },
    },
    {
      name: "production-needs-no-dev-dependency",
      severity: "error",
      from: { path: "^(src|client/src|examples)/", pathNot: "[.]test[.]ts$" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm", "type-only"] },
    },
    {
      name: "packages-are-declared",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["source", "import", "node", "default", "types"],
    },
    combinedDependencies: true,
  },
};
