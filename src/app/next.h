// The command to type next, in full: the program as it was called, the same files, the same options. What it says can
// be copied.
#ifndef AM_APP_NEXT_H
#define AM_APP_NEXT_H

#include "app/session.h"

// *line = heap text: "build/augmint status a.yaml --tiny --data /images". file: this one alone; NULL: all of app->argv.
// more: further words as they are ("--remove"), or NULL.
AM_MUST_USE am_err am_next_command(const am_app *app, const am_experiment_options *options,
                                   const char *command, const char *file, const char *more, char **line);
// Prints `before`, the command, `after`, and ends the line.
AM_MUST_USE am_err am_next_say(const am_app *app, const am_experiment_options *options, const char *before,
                               const char *command, const char *more, const char *after);

#endif
