/**
 * Loaded into the program by the launcher: when the launcher is gone without a word (kill -9), the program is asked to
 * stop, so that nothing lives on that no terminal and no supervisor knows of.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
// The channel alone must not keep a finished program alive.
process.channel?.unref()
