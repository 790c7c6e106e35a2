// Edits a picture through OpenAI's official SDK: node edit.mjs SDK-FOLDER BASE-URL KEY PICTURE PROMPT
import { File } from "node:buffer";
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

globalThis.File ??= File; // Node 18 has none of its own, and the SDK asks for one
const [folder, baseURL, apiKey, picture, prompt] = process.argv.slice(2);
const { default: OpenAI } = await import(pathToFileURL(createRequire(`${folder}/x.js`).resolve("openai")));
const client = new OpenAI({ baseURL, apiKey });
const image = createReadStream(picture);
const answer = await client.images.edit({ model: "gpt-image-1", image, prompt, output_format: "jpeg" });
console.log(JSON.stringify({ b64_json: answer.data[0].b64_json, size: answer.size, kontext: answer.kontext }));
