// Four processes on one PostgreSQL.
import { describeFaults } from './faults.js'
import { POSTGRES } from './store-servers.js'

describeFaults(POSTGRES)
