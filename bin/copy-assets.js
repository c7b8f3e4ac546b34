/** Part of prepack: model files are data, which tsc does not copy. */
import { cpSync, globSync } from 'node:fs'

for (const file of globSync('models/*/{manifest.json,parity.json,model.onnx,MODEL_CARD.md}'))
  cpSync(file, `dist/${file}`)
for (const file of globSync('src/cli/templates/**/*', { withFileTypes: true })) {
  if (file.isFile()) cpSync(`${file.parentPath}/${file.name}`, `dist/${file.parentPath}/${file.name}`)
}
