/** Before every test file: time enough for real servers on a slow machine (bunfig has no setting that works). */
import { setDefaultTimeout } from 'bun:test'

setDefaultTimeout(60_000)
