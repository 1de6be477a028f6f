-- The store's identity, minted once per database: a random id, the genesis fingerprint (SHA-256 of the id), revision 0.
INSERT INTO "config_head" ("store_id", "chain", "revision", "fingerprint", "commit_time")
SELECT "id", 1, 0, sha256("id"), 'epoch' FROM (SELECT uuid_send(gen_random_uuid()) AS "id") AS "minted";
