// The version of the program: in --version and in the provenance of every artefact.
#ifndef AM_BASE_VERSION_H
#define AM_BASE_VERSION_H

#define AM_VERSION "0.1.0"

#endif
