// What this package prints of mistakes is printed once for each process of a user: a process of tests makes a thousand
// mistakes on purpose. Tests of what is printed start processes of their own, or hear `emitWarning`.
for (const print of process.listeners('warning')) {
  if (print.name === 'ofOthers') continue
  process.off('warning', print)
  process.on('warning', function ofOthers(warning) {
    if (warning.name !== 'BackchannelLogoutWarning') print(warning)
  })
}
