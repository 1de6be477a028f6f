import { generateKeyPairSync, sign } from "node:crypto";

/** A self-signed certificate, valid for the years given, and its key: made anew, so that no key is kept anywhere. */
export function newCertificate(firstYear = 2020, lastYear = 2199): { chainPem: string; keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const ed25519 = der(0x30, Buffer.from("06032b6570", "hex"));
  const commonName = der(0x30, Buffer.from("0603550403", "hex"), der(0x0c, Buffer.from("esme")));
  const name = der(0x30, der(0x31, commonName));
  const validity = der(0x30, time(firstYear), time(lastYear));
  const serial = der(0x02, Buffer.of(1));
  const key = publicKey.export({ type: "spki", format: "der" });
  const body = der(0x30, serial, ed25519, name, validity, name, key);
  const certificate = der(0x30, body, ed25519, der(0x03, Buffer.of(0), sign(null, body, privateKey)));
  const base64 = certificate.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    chainPem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function time(year: number): Buffer {
  return der(0x18, Buffer.from(`${year}0101000000Z`));
}

/** Tag, length (below 64 KiB), content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}
