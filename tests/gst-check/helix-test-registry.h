/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HELIX_TEST_REGISTRY_H
#define HELIX_TEST_REGISTRY_H

/* How many entries of the registry of running VMs lead to `socket_path`. */
unsigned test_registered (const char *socket_path);

#endif /* HELIX_TEST_REGISTRY_H */
