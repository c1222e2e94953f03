-- Where sign-ons went from here, while ended is 'moved', and after that for a repeat; each as bcl_pointer writes it.
ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS moved_to jsonb[] NOT NULL DEFAULT '{}';
