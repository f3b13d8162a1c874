/* link_priv.h - what a timed link does behind each message. */
#ifndef LINK_PRIV_H
#define LINK_PRIV_H

#include "collectives/link.h"

void link_time_sent(struct link *l, struct link_request *req); /* behind an isend */
void link_time_received(struct link *l, int peer, int tag); /* behind a recv */
void link_time_completed(struct link *l, struct link_request *req); /* behind a wait, or a test that says so */

#endif
