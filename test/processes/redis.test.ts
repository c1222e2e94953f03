// Four processes on one Redis whose acknowledged writes survive a crash.
import { describeFaults } from './faults.js'
import { REDIS } from './store-servers.js'

describeFaults(REDIS)
