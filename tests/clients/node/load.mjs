// Finds a package in the folder of installed ones, which is the first argument: it does not stand above these scripts.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.argv[2], "from-here.cjs"));

export const load = (name) => import(pathToFileURL(require.resolve(name)).href);
