export async function runDemo(_a: unknown, _b: unknown, _c: unknown): Promise<void> {}
