import { OperatorCatalog, type CatalogEvents, type CatalogOptions } from "../../src/index.ts";
import { createMeshClient } from "../../src/node.ts";
import type { MeshServer } from "./mesh-server.ts";

/** A catalog that watches this server. */
export function catalogOf(server: MeshServer, options: Omit<CatalogOptions, "client"> = {}): Promise<OperatorCatalog> {
  return OperatorCatalog.start({ client: createMeshClient({ baseUrl: server.baseUrl }), ...options });
}

/** The next event of this name. */
export function next<Name extends keyof CatalogEvents>(
  catalog: OperatorCatalog,
  name: Name,
): Promise<CatalogEvents[Name]> {
  return new Promise((resolve) => {
    const off = catalog.on(name, (value) => {
      off();
      resolve(value);
    });
  });
}
