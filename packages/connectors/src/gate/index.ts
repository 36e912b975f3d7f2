export { compileMaps } from './maps.ts'
export { compileSchema } from './validation.ts'
