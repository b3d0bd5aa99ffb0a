/* guess.h: a store without a whole manifest, put together from what its table files say of themselves.
 *
 * Each file knows from which stretch of the log it came: of two whose stretches do not meet the later one is newer. Where they meet, and their keys too, it is not
 * known, and neither is believed there. What can be read of the manifest, before and behind the damage, tells which files there should be.
 */
#ifndef LSMTOOL_GUESS_H
#define LSMTOOL_GUESS_H

#include "sources.h"

/* Fill in the sources of table files, what is unsure, and the state's trees (the database knows them), position and token. manifest: the number of the newest
 * one, 0: none. False: not enough is known, and nothing was filled in. */
bool guess_sources(struct sources *sources, uint64_t manifest);

#endif
