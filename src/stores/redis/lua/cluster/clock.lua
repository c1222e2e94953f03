-- KEYS: any.
now()
return { clock_text }
