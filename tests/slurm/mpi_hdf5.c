// mpi_hdf5 FILE: every rank writes its number to one data set of one file, collectively, and rank 0 reads it back.
// Prints "N ranks on M nodes" when all of it is there; nodes are told apart by SLURMD_NODENAME.
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, NAME = 64 };

static int write_ranks(const char *path, int rank, int size) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), transfer = H5Pcreate(H5P_DATASET_XFER);
  H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
  H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  hsize_t total = (hsize_t)size, first = (hsize_t)rank, one = 1;
  hid_t all = H5Screate_simple(1, &total, NULL), mine = H5Screate_simple(1, &one, NULL);
  hid_t set = H5Dcreate2(file, "rank", H5T_NATIVE_INT, all, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Sselect_hyperslab(all, H5S_SELECT_SET, &first, NULL, &one, NULL);
  int bad = H5Dwrite(set, H5T_NATIVE_INT, mine, all, transfer, &rank) < 0;
  return (H5Dclose(set) < 0) | (H5Fclose(file) < 0) | bad;
}

static int read_ranks(const char *path, int size) {
  int value[MOST];
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t set = H5Dopen2(file, "rank", H5P_DEFAULT);
  if (H5Dread(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0) return 1;
  for (int i = 0; i < size; i++)
    if (value[i] != i) return 1;
  return (H5Dclose(set) < 0) | (H5Fclose(file) < 0);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, size = 0, bad = 1, nodes = 0;
  char mine[NAME] = "", all[MOST][NAME];
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc == 2 && size <= MOST) bad = write_ranks(argv[1], rank, size);
  snprintf(mine, sizeof mine, "%s", getenv("SLURMD_NODENAME") ? getenv("SLURMD_NODENAME") : "");
  MPI_Allgather(mine, NAME, MPI_CHAR, all, NAME, MPI_CHAR, MPI_COMM_WORLD);
  MPI_Allreduce(MPI_IN_PLACE, &bad, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  if (rank == 0 && !bad) {
    for (int i = 0; i < size; i++) nodes += i == 0 || strcmp(all[i], all[i - 1]) != 0;
    bad = read_ranks(argv[1], size);
    if (!bad) printf("%d ranks on %d nodes\n", size, nodes);
  }
  MPI_Finalize();
  return bad;
}
