/** openapi.yaml as generated requests need it: its operations, and a public validator for its schemas. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { projectRoot } from '../../support/process.ts'

/** What a generator reads of JSON Schema 2020-12; the validator knows the rest. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly not?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly minProperties?: number
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  /** Of a text: the JSON that it is. */
  readonly contentSchema?: Schema
}

export interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly required?: boolean
  readonly schema: Schema
}

interface Body {
  readonly required?: boolean
  readonly content: { readonly 'application/json': { readonly schema: Schema } }
}

interface ResponseObject {
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>
  readonly content: Readonly<Record<string, { readonly schema: Schema }>>
}

interface OperationObject {
  readonly operationId: string
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: Body
  readonly responses: Readonly<Record<string, ResponseObject>>
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export interface Operation {
  readonly id: string
  readonly method: string
  readonly path: string
  /** Whether it is refused without a token. */
  readonly guarded: boolean
  /** Scopes of its token; none where any will do. */
  readonly scopes: readonly string[]
  readonly parameters: readonly Parameter[]
  readonly body: { readonly required: boolean; readonly schema: Schema } | undefined
  readonly responses: Readonly<Record<string, ResponseObject>>
}

export interface Contract {
  readonly operations: readonly Operation[]
  /** The schema itself, where it is a reference the one that is meant. */
  resolve(schema: Schema): Schema
  /** What keeps a value from fitting a schema; undefined where nothing does. */
  fault(schema: Schema, value: unknown): string | undefined
}

/** The file as it is, to be changed by whoever plants a fault. */
export function readDocument(): OpenApi {
  // The document's own form is another test's: contract-documents.test.ts.
  return Bun.YAML.parse(readFileSync(join(projectRoot, 'openapi.yaml'), 'utf8')) as OpenApi
}

export function createContract({ paths, components }: OpenApi): Contract {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false })
  ajv.addSchema({ $id: 'openapi', components })
  const validators = new Map<string, ValidateFunction>()
  const validatorOf = (schema: Schema): ValidateFunction => {
    const text = JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"openapi#/')
    const known = validators.get(text) ?? ajv.compile(JSON.parse(text) as object)
    validators.set(text, known)
    return known
  }
  return {
    operations: Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, declared]) => operationOf(path, method, declared)),
    ),
    resolve(schema) {
      const name = schema.$ref?.split('/').at(-1)
      const meant = name === undefined ? schema : components.schemas[name]
      if (!meant) throw new Error(`${schema.$ref} is nowhere`)
      return meant.$ref === undefined ? meant : this.resolve(meant)
    },
    fault(schema, value) {
      const validate = validatorOf(schema)
      return validate(value) ? undefined : ajv.errorsText(validate.errors, { dataVar: 'body' })
    },
  }
}

function operationOf(path: string, method: string, declared: OperationObject): Operation {
  const { operationId, security = [], parameters = [], requestBody, responses } = declared
  return {
    id: operationId,
    method: method.toUpperCase(),
    path,
    guarded: security.length > 0,
    scopes: security.flatMap((scheme) => Object.values(scheme).flat()),
    parameters,
    body: requestBody && {
      required: requestBody.required ?? false,
      schema: requestBody.content['application/json'].schema,
    },
    responses,
  }
}
