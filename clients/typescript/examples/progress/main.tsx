/** Begins the page: one client for as long as it is open. */
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '@lightwire/client'
import { LightwireProvider } from '@lightwire/client/react'
import { Progress } from './progress.tsx'

const text = async (path: string) => await (await fetch(path)).text()
const client = createClient({ url: await text('/server'), getToken: () => text('/token'), clientType: 'web' })

createRoot(document.body).render(
  <StrictMode>
    <LightwireProvider client={client}>
      <Progress />
    </LightwireProvider>
  </StrictMode>,
)
