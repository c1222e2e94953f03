// A page that takes its time, as every application has some: it reads the session, waits for something slow and writes
// the session when that is there. Knows nothing of logouts.
import type { Express } from 'express'

declare module 'express-session' {
  interface SessionData {
    uploads: number
  }
}

/** `POST /upload`, done as soon as `arrived` has resolved. Only for somebody who is signed in when it begins. */
export function uploadPage(arrived: () => Promise<void>): (app: Express) => void {
  return (app) => {
    app.post('/upload', async (req, res) => {
      res.set('Cache-Control', 'no-store')
      if (!req.session.signOn) return void res.status(401).json({ error: 'not_signed_in' })
      await arrived()
      req.session.uploads = (req.session.uploads ?? 0) + 1
      res.json({ uploads: req.session.uploads })
    })
  }
}
