// What AsyncAPI's own parser says of a document: one line of JSON, a list of [severity, code, message, where].
const { readFileSync } = require('node:fs');
const [, , packages, path] = process.argv;
const { Parser } = require(`${packages}/@asyncapi/parser`);

new Parser().parse(readFileSync(path, 'utf8')).then(({ document, diagnostics }) => {
  const found = diagnostics.map(({ severity, code, message, path: where }) => [severity, code, message, where.join('.')]);
  console.log(JSON.stringify({ version: document?.version() ?? null, operations: document?.operations().length ?? 0, found }));
});
