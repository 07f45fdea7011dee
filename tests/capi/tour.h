/* One program in C that uses each family of functions. */
#ifndef VARVE_TESTS_CAPI_TOUR_H
#define VARVE_TESTS_CAPI_TOUR_H

#ifdef __cplusplus
extern "C" {
#endif

/* Works in `directory`; 0, or the line of tour.c that went wrong. */
int c_tour(const char* directory);

#ifdef __cplusplus
}
#endif

#endif
