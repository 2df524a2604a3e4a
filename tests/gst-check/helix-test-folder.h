/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HELIX_TEST_FOLDER_H
#define HELIX_TEST_FOLDER_H

/* Removes a folder of a test with all that is in it, which a program that was
 * killed may have left there; follows no symbolic link. */
void test_remove_tree (const char *path);

#endif /* HELIX_TEST_FOLDER_H */
