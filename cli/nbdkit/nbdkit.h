// nbdkit's header, for the version of its interface that the plugin is written for.
#ifndef VARVE_NBDKIT_NBDKIT_H
#define VARVE_NBDKIT_NBDKIT_H

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#endif
