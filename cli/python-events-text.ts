/** The text of the Python client's events.py: a TypedDict per event of the catalogue, and `on` with an overload for each. */
import * as z from 'zod'
import { catalogue, channels, eventTypes, type EventType } from '../lib/protocol/events.ts'

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly string[]
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
}

const LINE_MAX = 120

export function pythonEventsText(): string {
  return `"""The events of the catalogue, and handlers that know them. Generated: npm run docs"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Union, overload

Channel = Literal[
${channels.map((channel) => `    "${channel}",`).join('\n')}
]

EventType = Literal[
${eventTypes.map((type) => `    "${type}",`).join('\n')}
]


${eventTypes.map(classOf).join('\n\n')}

AnyEvent = Union[
${eventTypes.map((type) => `    ${className(type)},`).join('\n')}
]


class TypedHandlers:
    """\`on(type, handler)\`: what the handler gets is known by the type."""

${eventTypes.map(overloadOf).join('\n\n')}

    def on(self, type: EventType, handler: Callable[[Any], None]) -> Callable[[], None]:
        """Calls \`\`handler\`\` with each event of this type; returns what takes it away again."""
        return self._on(type, handler)

    def _on(self, name: str, handler: Callable[[Any], None]) -> Callable[[], None]:
        raise NotImplementedError
`
}

const className = (type: string) =>
  type.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())

function classOf(type: EventType): string {
  const kind = catalogue[type]
  // A schema of zod's own making; only the few members named above are looked at.
  const { properties = {}, required = [] } = z.toJSONSchema(kind.data) as JsonSchema
  const name = className(type)
  const fields = (optional: boolean) =>
    Object.entries(properties)
      .filter(([field]) => required.includes(field) !== optional)
      .map(([field, schema]) => `    ${field}: ${typeOf(schema)}`)
  const envelope = [
    `    type: Literal["${type}"]`,
    '    timestamp: str',
    `    channel: Literal["${kind.channel}"]`,
    '    seq: int',
  ]
  const says = `    """${kind.channel}, a ${kind.class}${kind.key.length > 0 ? ` per ${kind.key.join(', ')}` : ''}."""\n`
  const whole = [...envelope, ...fields(false)].join('\n')
  if (fields(true).length === 0) return `class ${name}(TypedDict):\n${says}\n${whole}\n`
  // NotRequired came with Python 3.11.
  const base = `_${name}Always`
  return `class ${base}(TypedDict):\n${whole}\n\n\nclass ${name}(${base}, total=False):\n${says}\n${fields(true).join('\n')}\n`
}

function typeOf({ type, enum: values, anyOf }: JsonSchema): string {
  if (anyOf) return anyOf.map(typeOf).join(' | ')
  if (values) return `Literal[${values.map((value) => JSON.stringify(value)).join(', ')}]`
  if (typeof type !== 'string') return (type ?? []).map((each) => typeOf({ type: each })).join(' | ')
  const known: Record<string, string> = {
    string: 'str',
    integer: 'int',
    number: 'float',
    boolean: 'bool',
    object: 'dict[str, Any]',
    null: 'None',
  }
  const python = known[type]
  if (python === undefined) throw new Error(`no Python type for ${type}`)
  return python
}

function overloadOf(type: EventType): string {
  const words = `type: Literal["${type}"], handler: Callable[[${className(type)}], None]`
  const line = `    def on(self, ${words}) -> Callable[[], None]: ...`
  const wrapped = `    def on(\n        self, ${words}\n    ) -> Callable[[], None]: ...`
  return `    @overload\n${line.length > LINE_MAX ? wrapped : line}`
}
